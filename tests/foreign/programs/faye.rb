# Ruby's faye-websocket, a client; it compresses with the extension permessage_deflate only where that is installed.
require 'eventmachine'
require 'faye/websocket'

$stdout.sync = true

EM.run do
  urls = ARGV.drop(1)
  visit = lambda do
    url = urls.shift
    next EM.stop unless url

    socket = Faye::WebSocket::Client.new(url)
    socket.on(:message) do |event|
      data = event.data
      if data.is_a?(Array) then socket.send(data)
      elsif data =~ /\A!close (\d+) (.*)\z/m then socket.close(Regexp.last_match(1).to_i, Regexp.last_match(2))
      elsif data == '!ping' then socket.ping('there?') { socket.send('pong there?') }
      elsif data == '!fragments' then socket.send('cannot')
      else socket.send(data)
      end
    end
    status = nil
    socket.on(:error) { |event| status ||= event.message[/: (\d{3})/, 1] || event.message }
    socket.on(:close) do |event|
      puts status ? "refused #{status}" : "closed #{event.code} #{event.reason}"
      EM.next_tick(&visit)
    end
  end
  visit.call
end
