"""From seed tasks to Chinese instruction data: prompts, parsing, filters, novelty, statistics, export."""
