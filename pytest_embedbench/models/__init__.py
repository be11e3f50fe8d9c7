"""Models: their definitions, their files on this machine, and the code of each kind that turns texts into vectors."""
