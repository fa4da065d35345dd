"""Starting, watching and stopping child processes."""
