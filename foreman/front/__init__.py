"""The HTTP server in front of the application: connections, the heads of requests, their framing.

gunicorn reads and writes HTTP; here it gets limits of time and number, and its errors become
answers of the application. Nothing here imports a driver: this is read before gevent patches.
"""
