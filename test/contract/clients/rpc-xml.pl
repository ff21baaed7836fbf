# Perl's RPC::XML. Arguments: the URL, and the calls as JSON; prints the replies as JSON.
use strict;
use warnings;
use JSON::PP;
use RPC::XML::Client;

$RPC::XML::ENCODING = 'UTF-8';
my $client = RPC::XML::Client->new($ARGV[0]);
my @replies;
for my $call (@{ decode_json($ARGV[1]) }) {
    my $reply = $client->simple_request(@$call);
    die "$RPC::XML::ERROR\n" unless ref $reply;
    push @replies, $reply;
}
print encode_json(\@replies);
