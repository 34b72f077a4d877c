"""An installation from start to end: context, plan, sequence of steps, run."""
