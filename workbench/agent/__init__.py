"""What an agent author touches: the job, its context, its room; and how an agent file is loaded."""
