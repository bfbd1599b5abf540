"""Agents written for the VideoSDK SDK, run as they stand.

`hook` notices that a file imports the SDK, `capture` takes over where the file starts its worker, `job` runs one
job the way the SDK's own worker would. Nothing here imports the SDK before the agent's file has done so.
"""
