"""Images, label folders, manifests and tables on disk: the only layer that opens data files."""

from labelmend.io.files.atomic import append_line, read_lines, whole_file, write_bytes, write_json, write_text
from labelmend.io.files.csv_table import write_csv
from labelmend.io.files.manifest import ManifestRow, append_row, checksum, read_manifest, write_manifest
from labelmend.io.images import nifti, png, tiff  # each enters its formats into FORMATS
from labelmend.io.images.formats import (
    FORMATS,
    Format,
    Image,
    case_id,
    read_image,
    read_label_array,
    write_label_array,
)
from labelmend.io.images.header_notes import common_orientation, spacing_notes, stored_apart
from labelmend.io.images.new_label_file import new_label_name, write_new_labels
from labelmend.io.images.write_grey_png import write_picture
from labelmend.io.labels.check_dataset import DatasetFacts, check_dataset
from labelmend.io.labels.coco import CocoImage, CocoLabels, open_coco
from labelmend.io.labels.coco_write import write_coco
from labelmend.io.labels.dataset import Dataset, open_dataset
from labelmend.io.labels.label_folder import LabelFolder, grid_difference
from labelmend.io.labels.nnunet import NnunetInfo, is_nnunet, open_nnunet
from labelmend.io.labels.nnunet_regions import RegionFolder
from labelmend.io.labels.nnunet_write import write_nnunet
from labelmend.io.labels.open_labels import open_images, open_labels, read_case_list
from labelmend.io.probabilities.open_probabilities import open_probabilities
from labelmend.io.probabilities.probability_folder import LabelSource, ProbabilityFolder

__all__ = [
    "FORMATS",
    "CocoImage",
    "CocoLabels",
    "Dataset",
    "DatasetFacts",
    "Format",
    "Image",
    "LabelFolder",
    "LabelSource",
    "ManifestRow",
    "NnunetInfo",
    "ProbabilityFolder",
    "RegionFolder",
    "append_line",
    "append_row",
    "case_id",
    "check_dataset",
    "checksum",
    "common_orientation",
    "grid_difference",
    "is_nnunet",
    "new_label_name",
    "nifti",
    "open_coco",
    "open_dataset",
    "open_images",
    "open_labels",
    "open_nnunet",
    "open_probabilities",
    "png",
    "read_case_list",
    "read_image",
    "read_label_array",
    "read_lines",
    "read_manifest",
    "spacing_notes",
    "stored_apart",
    "tiff",
    "whole_file",
    "write_bytes",
    "write_coco",
    "write_csv",
    "write_json",
    "write_label_array",
    "write_manifest",
    "write_new_labels",
    "write_nnunet",
    "write_picture",
    "write_text",
]
