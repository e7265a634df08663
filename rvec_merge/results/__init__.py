"""What finished cells say: the summary, comparison of runs, tables, wording."""
