# Perl's Frontier::Client. Arguments: the URL, and the calls as JSON; prints the replies as JSON.
use strict;
use warnings;
use Frontier::Client;
use JSON::PP;

# Booleans, and nothing else, come as objects.
sub plain {
    my ($value) = @_;
    return [ map { plain($_) } @$value ] if ref $value eq 'ARRAY';
    return { map { $_ => plain($value->{$_}) } keys %$value } if ref $value eq 'HASH';
    return ref $value ? $value->value : $value;
}

my $client = Frontier::Client->new(url => $ARGV[0]);
print encode_json([ map { plain($client->call(@$_)) } @{ decode_json($ARGV[1]) } ]);
