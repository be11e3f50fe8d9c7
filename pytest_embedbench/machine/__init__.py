"""The machine that runs: environment, processor, threads, device lock, energy."""
