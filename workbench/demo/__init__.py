"""What `workbench demo` and `workbench init` hand out: agents and options as files, read and never imported by us."""
