"""`workbench doctor`: what a worker needs of this machine, tried for real."""
