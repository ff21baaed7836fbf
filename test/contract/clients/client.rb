# Ruby's xmlrpc gem, which OpenNebula's Ruby bindings use. Arguments: the URL, and the calls as JSON;
# prints the replies as JSON.
require 'json'
require 'xmlrpc/client'

client = XMLRPC::Client.new2(ARGV[0])
puts JSON.generate(JSON.parse(ARGV[1]).map { |call| client.call(*call) })
