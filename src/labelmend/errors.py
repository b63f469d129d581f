"""Every error labelmend raises on purpose, and what each one means.

    LabelmendError                 one clear sentence; the command line prints it and exits with status 2
    ├── DataError                  an input file or array is wrong
    │   ├── MissingDataError       a folder, a file or its counterpart is missing
    │   ├── UnreadableFileError    a file exists but cannot be read completely
    │   ├── GeometryError          shapes, spacings or affines disagree
    │   └── LabelValueError        a pixel value belongs to no class, or is NaN or infinite
    ├── CleanCasesError            trusted cases are missing, or leak into training
    ├── ConfigError                a setting is invalid
    ├── MissingExtraError          a required package is not installed
    ├── OutputError                the output location is occupied, full or not writable
    └── WorkerError                worker processes died repeatedly

Messages name the case and the file, and say what it holds, what was expected and what to do.
"""


class LabelmendError(Exception):
    """Base class of all errors labelmend raises on purpose."""


class DataError(LabelmendError):
    """An input file or array is wrong."""


class MissingDataError(DataError):
    """A folder, a file or its counterpart is missing."""


class UnreadableFileError(DataError):
    """A file exists but cannot be read completely (truncated, damaged, wrong format)."""


class GeometryError(DataError):
    """Shapes, spacings or affines that should agree do not."""


class LabelValueError(DataError):
    """A pixel value belongs to no class, or an image contains NaN or infinity."""


class CleanCasesError(LabelmendError):
    """Trusted cases are missing, or also appear among the training cases."""


class ConfigError(LabelmendError):
    """A setting is invalid."""


class MissingExtraError(LabelmendError):
    """A required package of an optional extra is not installed."""


class OutputError(LabelmendError):
    """The output location is occupied, full or not writable."""


class WorkerError(LabelmendError):
    """Worker processes died repeatedly."""
