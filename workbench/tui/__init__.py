"""The terminal workbench: a client that draws what a supervisor tells, and asks it for what keys mean."""
