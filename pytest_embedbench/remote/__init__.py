"""Other machines: servers that speak OpenAI's HTTP interface, and the Hugging Face Hub."""
