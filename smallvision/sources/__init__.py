"""Where an archive comes from: drawn here, Kaggle, a URL, a file or folder."""
