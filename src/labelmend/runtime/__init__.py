"""Progress, seeds, parallel work, output folders."""
