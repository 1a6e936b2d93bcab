"""The floor under the four stages: files, runs, configuration, terminal, reports, and units of text."""
