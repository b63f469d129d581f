"""Labels of a data set: folders, nnU-Net raw data, COCO."""
