// kolo/xmlrpc, which goca, OpenNebula's Go bindings, uses. Arguments: the URL, and the calls as JSON;
// prints the replies as JSON. With a third argument: the Go types of their elements, which are what goca looks at.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/kolo/xmlrpc"
)

func main() {
	var calls [][]interface{}
	check(json.Unmarshal([]byte(os.Args[2]), &calls))
	client, err := xmlrpc.NewClient(os.Args[1], nil)
	check(err)
	replies := make([][]interface{}, len(calls))
	for i, call := range calls {
		for j, parameter := range call {
			if number, ok := parameter.(float64); ok {
				call[j] = int(number)
			}
		}
		check(client.Call(call[0].(string), call[1:], &replies[i]))
	}
	if len(os.Args) > 3 {
		for _, reply := range replies {
			for i, element := range reply {
				reply[i] = fmt.Sprintf("%T", element)
			}
		}
	}
	check(json.NewEncoder(os.Stdout).Encode(replies))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
