"""The official Python client at a limit: its own retry succeeds.

Usage: python with_retries.py SERVER
"""

import json
import sys
import time

from openai import OpenAI

client = OpenAI(base_url=sys.argv[1], api_key="unused", max_retries=2)
began = time.monotonic()
response = client.responses.create(model="default", input="Say hello.", background=True)
retried = {"id": response.id, "seconds": time.monotonic() - began}
print(json.dumps({"retried": retried}))
