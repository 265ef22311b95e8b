vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
    .probe = { .url = "/readyz"; }
}

sub vcl_recv {
    # Varnish has put the address of its client behind X-Forwarded-For already.
    unset req.http.X-Forwarded-Host;
    unset req.http.X-Real-IP;
    unset req.http.Forwarded;
    set req.http.X-Forwarded-Proto = "http";
    if (req.http.Upgrade ~ "(?i)websocket") {
        return (pipe);
    }
    return (pass);
}

sub vcl_pipe {
    if (req.http.Upgrade) {
        set bereq.http.Upgrade = req.http.Upgrade;
        set bereq.http.Connection = "Upgrade";
    }
}
