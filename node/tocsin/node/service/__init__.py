"""What a node does. Every collaborator is passed in; nothing here sees a wire message."""
