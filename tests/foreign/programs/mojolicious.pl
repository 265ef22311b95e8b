# Mojolicious, as client and as server.
use Mojolicious::Lite -signatures;
use Mojo::IOLoop;
use Mojo::Server::Daemon;
use Mojo::UserAgent;
use Mojo::Util 'encode';

$| = 1;
app->log->level('fatal');

sub say_line ($line) { print encode('UTF-8', $line), "\n" }

sub converse ($tx) {
    $tx->max_websocket_size(2**24);
    $tx->on(binary => sub ($tx, $bytes) { $tx->send({binary => $bytes}) });
    $tx->on(
        text => sub ($tx, $bytes) {
            my $text = Mojo::Util::decode('UTF-8', $bytes);
            if    ($text =~ /^!close (\d+) (.*)$/s) { $tx->finish($1, $2) }
            elsif ($text eq '!ping') { $tx->send([1, 0, 0, 0, Mojo::WebSocket::WS_PING, 'there?']) }
            elsif ($text eq '!fragments') {
                $tx->send([0, 0, 0, 0, Mojo::WebSocket::WS_TEXT,         'in ']);
                $tx->send([0, 0, 0, 0, Mojo::WebSocket::WS_CONTINUATION, 'three ']);
                $tx->send([1, 0, 0, 0, Mojo::WebSocket::WS_CONTINUATION, 'parts']);
            }
            else { $tx->send({text => $bytes}) }
        }
    );
    $tx->on(frame => sub ($tx, $frame) { $tx->send("pong $frame->[5]") if $frame->[4] == Mojo::WebSocket::WS_PONG });
}

websocket '/echo' => sub ($c) {
    $c->tx->with_compression;
    converse($c->tx);
    $c->on(finish => sub ($c, $code, $reason = '') { say_line("closed $code " . ($reason // '')) });
};
any '/*rest' => {rest => ''} => sub ($c) { $c->render(text => "no\n", status => 403) };

if ($ARGV[0] eq 'server') {
    my $daemon = Mojo::Server::Daemon->new(app => app, listen => ['http://127.0.0.1:0'], silent => 1);
    $daemon->start;
    print 'listening ', $daemon->ports->[0], "\n";
    Mojo::IOLoop->start;
    exit;
}

my $agent = Mojo::UserAgent->new;
for my $url (@ARGV[1 .. $#ARGV]) {
    $agent->websocket(
        $url => {'Sec-WebSocket-Extensions' => 'permessage-deflate'} => sub ($agent, $tx) {
            if (!$tx->is_websocket) {
                say_line($tx->res->code ? 'refused ' . $tx->res->code : 'error ' . $tx->error->{message});
                return Mojo::IOLoop->stop;
            }
            converse($tx);
            $tx->on(finish => sub ($tx, $code, $reason) { say_line("closed $code " . ($reason // '')) });
            Mojo::IOLoop->stream($tx->connection)->on(close => sub ($stream) { Mojo::IOLoop->stop });
        }
    );
    Mojo::IOLoop->start;
}
