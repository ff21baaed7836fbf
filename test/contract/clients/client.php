<?php
// PHP's xmlrpc extension, with the encoding that it declares by default (iso-8859-1).
// Arguments: the URL, and the calls as JSON; prints the replies as JSON.
$replies = [];
foreach (json_decode($argv[2], true) as $call) {
    $request = xmlrpc_encode_request(array_shift($call), $call);
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => 'Content-Type: text/xml',
        'content' => $request,
    ]]);
    $replies[] = xmlrpc_decode(file_get_contents($argv[1], false, $context), 'UTF-8');
}
echo json_encode($replies);
