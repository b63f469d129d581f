"""Work over whole data sets: train, predict, simulate, evaluate. Import the module you need."""
