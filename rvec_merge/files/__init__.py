"""Files and folders: written whole or not at all, plain, named and hashed."""
