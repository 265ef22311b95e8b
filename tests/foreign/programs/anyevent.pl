# Perl's AnyEvent::WebSocket::Client, a client.
use v5.28;
use warnings;
use AnyEvent;
use AnyEvent::WebSocket::Client;

$| = 1;
binmode STDOUT, ':encoding(UTF-8)';

for my $url (@ARGV[1 .. $#ARGV]) {
    my $end = AE::cv;
    my $connection;
    my $client = AnyEvent::WebSocket::Client->new(max_payload_size => 2**24, max_fragments => 1000);
    $client->connect($url)->cb(
        sub {
            $connection = eval { shift->recv };
            if (!$connection) { return $end->send($@ =~ /Got \[\[HTTP\S+ (\d{3})/ ? "refused $1" : "error $@") }
            $connection->on(
                each_message => sub {
                    my ($connection, $message) = @_;
                    my $text = $message->is_text ? $message->decoded_body : '';
                    if    ($text =~ /^!close (\d+) (.*)$/s) { $connection->close($1, $2) }
                    elsif ($text =~ /^!/) { $connection->send('cannot') }
                    else { $connection->send($message) }
                }
            );
            $connection->on(
                finish => sub {
                    my ($connection) = @_;
                    $end->send('closed ' . ($connection->close_code // 1006) . ' ' . ($connection->close_reason // ''));
                }
            );
        }
    );
    say $end->recv;
}
