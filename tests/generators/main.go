// openapi-generator, go: reads calls from standard input, a line of JSON each, and prints what the client returns.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"

	payerbase "github.com/GIT_USER_ID/GIT_REPO_ID"
)

type call struct {
	Url, Token, Operation, Tag, Path string
	Params                           map[string]string
	Schema                           *string
	Body                             json.RawMessage
}

func upper(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

func send(call call) (any, error) {
	configuration := payerbase.NewConfiguration()
	configuration.Servers = payerbase.ServerConfigurations{{URL: call.Url}}
	client := reflect.ValueOf(payerbase.NewAPIClient(configuration)).Elem()
	ctx := context.WithValue(context.Background(), payerbase.ContextAccessToken, call.Token)
	arguments := []reflect.Value{reflect.ValueOf(ctx)}
	for _, part := range strings.Split(call.Path, "/") {
		if strings.HasPrefix(part, "{") {
			arguments = append(arguments, reflect.ValueOf(call.Params[strings.Trim(part, "{}")]))
		}
	}
	api := client.FieldByName(upper(call.Tag) + "API")
	request := api.MethodByName(upper(call.Operation)).Call(arguments)[0]
	if call.Schema != nil && string(call.Body) != "null" {
		set := request.MethodByName(*call.Schema)
		body := reflect.New(set.Type().In(0))
		if err := json.Unmarshal(call.Body, body.Interface()); err != nil {
			return nil, err
		}
		request = set.Call([]reflect.Value{body.Elem()})[0]
	}
	results := request.MethodByName("Execute").Call(nil)
	if err, failed := results[len(results)-1].Interface().(error); failed {
		return nil, err
	}
	if len(results) == 2 {
		return nil, nil
	}
	if _, isFile := results[0].Interface().(*os.File); isFile {
		return nil, nil
	}
	return results[0].Interface(), nil
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var next call
		answer := map[string]any{}
		err := json.Unmarshal(lines.Bytes(), &next)
		if err == nil {
			answer["result"], err = send(next)
		}
		if err != nil {
			answer["error"] = err.Error()
		}
		line, err := json.Marshal(answer)
		if err != nil {
			line, _ = json.Marshal(map[string]string{"error": err.Error()})
		}
		fmt.Println(string(line))
	}
}
