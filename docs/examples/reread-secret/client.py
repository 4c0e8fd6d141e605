"""Calls a service with the token of a mounted Secret, which it reads anew for each request."""
import os
import pathlib
import time
import urllib.error
import urllib.request


def authorization():
    """What the file holds now. The kubelet replaces the file when the Secret changes."""
    return pathlib.Path(os.environ["AUTHORIZATION_FILE"]).read_text().strip()


while True:
    request = urllib.request.Request(os.environ["SERVICE_URL"], headers={"Authorization": authorization()})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            print(response.status, flush=True)
    except urllib.error.URLError as problem:
        print(problem, flush=True)
    time.sleep(0.2)
