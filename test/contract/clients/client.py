# Python's own XML-RPC client. Arguments: the URL, and the calls as JSON; prints the replies as JSON.
import json
import sys
import xmlrpc.client

server = xmlrpc.client.ServerProxy(sys.argv[1])
print(json.dumps([getattr(server, call[0])(*call[1:]) for call in json.loads(sys.argv[2])]))
