# curl with a GET that has a body and the Content-Type of a form: what the Ruby addon's own script does.
# Arguments: the URL, and the calls as JSON; prints the replies as JSON.
import json
import subprocess
import sys
import xmlrpc.client


def call(method, *params):
    body = xmlrpc.client.dumps(params, method)
    command = ["curl", "-sS", "--fail", "-X", "GET", "-d", body, sys.argv[1]]
    return xmlrpc.client.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)[0][0]


print(json.dumps([call(*arguments) for arguments in json.loads(sys.argv[2])]))
