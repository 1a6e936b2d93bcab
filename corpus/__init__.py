"""From raw dumps to clean Chinese documents. Start reading at `corpus/pipeline.py`."""
