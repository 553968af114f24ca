"""Sources that hold photos and labels side by side: tables of Hugging Face and Parquet, and WebDataset shards."""
