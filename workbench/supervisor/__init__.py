"""Many children: the asyncio shell that tells the core what happened and carries out what it decides."""
