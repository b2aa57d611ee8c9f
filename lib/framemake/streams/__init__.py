"""The growing stream files of a LIGO e-Lab: their format, the importer that writes them, and what reads them."""
