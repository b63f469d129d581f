"""Images, label folders, manifests and tables on disk: the only layer that opens data files."""

from labelmend.io import nifti, png, tiff  # each enters its formats into FORMATS
from labelmend.io.arrays import read_arrays
from labelmend.io.atomic import append_line, read_lines, whole_file, write_bytes, write_json, write_text
from labelmend.io.base import (
    FORMATS,
    Format,
    Image,
    case_id,
    read_image,
    read_label_array,
    write_label_array,
)
from labelmend.io.check import DatasetFacts, check_dataset
from labelmend.io.coco import CocoImage, CocoLabels, open_coco
from labelmend.io.coco_write import write_coco
from labelmend.io.csv_table import write_csv
from labelmend.io.folders import open_images, open_labels, read_case_list
from labelmend.io.header_notes import common_orientation, spacing_notes, stored_apart
from labelmend.io.label_folder import LabelFolder, grid_difference
from labelmend.io.layout import Dataset, open_dataset
from labelmend.io.manifest import ManifestRow, append_row, checksum, read_manifest, write_manifest
from labelmend.io.new_labels import new_label_name, write_new_labels
from labelmend.io.nnunet import NnunetInfo, is_nnunet, open_nnunet
from labelmend.io.nnunet_write import write_nnunet
from labelmend.io.picture import write_picture
from labelmend.io.probabilities import open_probabilities
from labelmend.io.probability_folder import LabelSource, ProbabilityFolder
from labelmend.io.region_folder import RegionFolder
from labelmend.io.table import read_table
from labelmend.io.table_base import Table
from labelmend.io.tags import TagTable, read_tags

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
    "Table",
    "TagTable",
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
    "read_arrays",
    "read_case_list",
    "read_image",
    "read_label_array",
    "read_lines",
    "read_manifest",
    "read_table",
    "read_tags",
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
