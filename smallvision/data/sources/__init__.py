"""Where an archive of pictures comes from: drawn here, Kaggle, an address, a file or a folder."""
