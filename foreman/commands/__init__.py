"""The commands of `foreman` that are processes of their own, each with what only it imports."""
