"""Every error labelmend raises on purpose, and what each one means.

    LabelmendError                 one clear sentence; the command line prints it and exits with 2
    ├── DataError                  something is wrong with the files or arrays that were given
    │   ├── MissingDataError       a folder, file or partner is not there
    │   ├── UnreadableFileError    a file is there but cannot be read whole
    │   ├── GeometryError          shapes, spacings or affines disagree
    │   └── LabelValueError        a pixel holds a value that no class has, or NaN or infinity
    ├── CleanCasesError            trusted cases are needed and absent, or leak into training
    ├── ConfigError                a setting cannot be used as given
    ├── MissingExtraError          a package that this needs is not installed
    ├── OutputError                the place to write to is taken, full or not writable
    └── WorkerError                processes that should do the work died again and again

Messages say what came, what was expected and what to do, and name the case and the file.
"""


class LabelmendError(Exception):
    """Base of all errors raised on purpose: catch this to catch them all."""


class DataError(LabelmendError):
    """Something is wrong with the files or arrays that were given."""


class MissingDataError(DataError):
    """A folder, a file or the partner of a file is not there."""


class UnreadableFileError(DataError):
    """A file exists but cannot be read whole (truncated, damaged, wrong format)."""


class GeometryError(DataError):
    """Shapes, spacings or affines that should agree do not."""


class LabelValueError(DataError):
    """A pixel holds a value that no class has, or an image holds NaN or infinity."""


class CleanCasesError(LabelmendError):
    """Trusted cases are needed and absent, or also appear among the training cases."""


class ConfigError(LabelmendError):
    """A setting cannot be used as given."""


class MissingExtraError(LabelmendError):
    """A package that this needs and that comes with an extra is not installed."""


class OutputError(LabelmendError):
    """The output place is taken by something else, is full or cannot be written."""


class WorkerError(LabelmendError):
    """The processes that should do the work died again and again."""
