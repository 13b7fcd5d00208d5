"""The page in the browser: shows a session and forwards what the person does. The only place that imports viser."""
