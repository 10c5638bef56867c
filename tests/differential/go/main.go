// Reads request bodies as Ollama does, with Ollama's own types, and prints what it has read.
//
// Input: for each body a line "<endpoint> <length>" and the bytes. Output: one JSON line a body.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/ollama/ollama/anthropic"
	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/openai"
)

// Reading is what foreman must know of a request.
type Reading struct {
	Accepted  bool           `json:"accepted"`
	Model     string         `json:"model"`
	Stream    bool           `json:"stream"`
	KeepAlive string         `json:"keep_alive"`
	HasWork   bool           `json:"has_work"`
	Options   map[string]any `json:"options"`
	// An option that no integer can hold: what becomes of it depends on the processor.
	OutOfRange bool `json:"out_of_range"`
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	for {
		var endpoint string
		var length int
		if _, err := fmt.Fscanf(in, "%s %d\n", &endpoint, &length); err != nil {
			return
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(in, body); err != nil {
			log.Fatal(err)
		}
		if err := encoder.Encode(read(endpoint, body)); err != nil {
			log.Fatal(err)
		}
	}
}

// decode is gin's ShouldBindJSON.
func decode(body []byte, into any) bool {
	return json.NewDecoder(bytes.NewReader(body)).Decode(into) == nil
}

func read(endpoint string, body []byte) Reading {
	switch endpoint {
	case "/api/generate":
		var r api.GenerateRequest
		ok := decode(body, &r)
		return native(ok, r.Model, r.Stream, r.KeepAlive, r.Prompt != "", r.Options, r.Shift)
	case "/api/chat":
		var r api.ChatRequest
		ok := decode(body, &r)
		return native(ok, r.Model, r.Stream, r.KeepAlive, len(r.Messages) > 0, r.Options, r.Shift)
	case "/v1/audio/transcriptions":
		return transcription(body)
	case "/v1/chat/completions":
		var r openai.ChatCompletionRequest
		return compatible(decode(body, &r), r.Model, r.Stream)
	case "/v1/completions":
		var r openai.CompletionRequest
		return compatible(decode(body, &r), r.Model, r.Stream)
	case "/v1/responses":
		var r openai.ResponsesRequest
		ok := decode(body, &r)
		return compatible(ok, r.Model, r.Stream != nil && *r.Stream)
	case "/v1/messages":
		var r anthropic.MessagesRequest
		return compatible(decode(body, &r), r.Model, r.Stream)
	}
	log.Fatalf("no such endpoint: %s", endpoint)
	return Reading{}
}

// transcription reads a form as Ollama's middleware does. Before the body come two lines: the
// Content-Type and the query.
func transcription(asked []byte) Reading {
	parts := bytes.SplitN(asked, []byte("\n"), 3)
	request, err := http.NewRequest("POST", "/", bytes.NewReader(parts[2]))
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Content-Type", string(parts[0]))
	request.URL.RawQuery = string(parts[1])
	if request.ParseMultipartForm(25<<20) != nil {
		return Reading{}
	}
	return compatible(true, request.FormValue("model"), false)
}

func compatible(ok bool, model string, stream bool) Reading {
	if !ok || strings.TrimSpace(model) == "" {
		return Reading{}
	}
	return Reading{Accepted: true, Model: model, Stream: stream}
}

func native(ok bool, model string, stream *bool, keepAlive *api.Duration, hasWork bool,
	options map[string]any, shift *bool,
) Reading {
	var read api.Options
	if !ok || strings.TrimSpace(model) == "" || read.FromMap(options) != nil {
		return Reading{}
	}
	result := Reading{Accepted: true, Model: model, Stream: stream == nil || *stream}
	result.HasWork = hasWork
	if keepAlive != nil && keepAlive.Duration == 0 {
		result.KeepAlive = "zero"
	} else if keepAlive != nil {
		result.KeepAlive = "other"
	}
	result.Options, result.OutOfRange = runner(options, read)
	if shift != nil {
		result.Options["shift"] = *shift
	}
	return result
}

// runner returns those options that were given and make a target load the model again.
func runner(options map[string]any, read api.Options) (map[string]any, bool) {
	integers := map[string]int{
		"num_ctx": read.NumCtx, "num_batch": read.NumBatch, "num_gpu": read.NumGPU,
		"num_thread": read.NumThread, "draft_num_predict": read.DraftNumPredict,
	}
	if read.MainGPU != nil {
		integers["main_gpu"] = *read.MainGPU
	}
	given := map[string]any{}
	isOutOfRange := false
	for name, value := range integers {
		if options[name] != nil {
			given[name] = value
		}
		if number, ok := options[name].(float64); ok {
			isOutOfRange = isOutOfRange || number >= 1<<63 || number < -(1<<63)
		}
	}
	if read.UseMMap != nil {
		given["use_mmap"] = *read.UseMMap
	}
	return given, isOutOfRange
}
