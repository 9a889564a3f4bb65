"""From items to tags: prompts, the four steps, controls, evidence and exports."""
