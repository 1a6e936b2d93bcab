"""The floor under the four stages: files, inputs, runs, configuration, terminal, reports, and units of text."""
