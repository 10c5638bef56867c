// A client that reads as go-llm does: a default bufio.Scanner (64 KiB a line), every token of it,
// an empty one too, given to json.Unmarshal. Only the standard library is used.
//
//	client stream|whole URL BODY
//
// It tells what it sees on standard output, one JSON object a line:
//
//	{"status": 200}  {"line": {…}}  {"body": {…}}  {"error": "…", "cancelled": false}
//
// When its standard input ends, it cancels the context of its request.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

type object = map[string]any

func main() {
	mode, url, body := os.Args[1], os.Args[2], os.Args[3]
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	read := readLines
	if mode == "whole" {
		read = readBody
	}
	if err := request(ctx, url, body, read); err != nil {
		tell(object{"error": err.Error(), "cancelled": errors.Is(err, context.Canceled)})
	}
}

func request(ctx context.Context, url, body string, read func(io.Reader) error) error {
	ask, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	ask.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	tell(object{"status": answer.StatusCode})
	return read(answer.Body)
}

func readLines(body io.Reader) error {
	scanner := bufio.NewScanner(body)
	for scanner.Scan() {
		line, err := decode(scanner.Bytes())
		if err != nil {
			return err
		}
		tell(object{"line": line})
	}
	return scanner.Err()
}

func readBody(body io.Reader) error {
	bytes, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	value, err := decode(bytes)
	if err != nil {
		return err
	}
	tell(object{"body": value})
	return nil
}

// decode returns the error that an object tells as an error.
func decode(bytes []byte) (object, error) {
	var value object
	if err := json.Unmarshal(bytes, &value); err != nil {
		return nil, err
	}
	if message, ok := value["error"]; ok {
		return nil, fmt.Errorf("%v", message)
	}
	return value, nil
}

func tell(event object) {
	if err := json.NewEncoder(os.Stdout).Encode(event); err != nil {
		os.Exit(1)
	}
}
