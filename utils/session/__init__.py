"""The state behind the interactive tool, without a browser: clicks, parts, edits, undo, session files."""
