"""The lightest agent: nothing but the standard library."""

from doing import entrypoint

from workbench import WorkerJob

if __name__ == "__main__":
    WorkerJob(entrypoint).start()
