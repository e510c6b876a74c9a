/** Small ONNX models written by hand (protobuf, onnx.proto3), so that tests of what runs models need no file of weights. */
type Bytes = Uint8Array;

const varint = (value: number): Bytes => {
  const out: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...out, rest]);
    out.push((rest % 128) | 128);
  }
};
const joined = (...parts: Bytes[]): Bytes => Buffer.concat(parts);
const int = (field: number, value: number): Bytes => joined(varint(field * 8), varint(value));
const block = (field: number, bytes: Bytes): Bytes => joined(varint(field * 8 + 2), varint(bytes.length), bytes);
const text = (field: number, value: string): Bytes => block(field, Buffer.from(value));

const FLOAT = 1;
const OPSET = 17;

/** A dimension that is named has no fixed size. */
const port = (name: string, dims: readonly (number | string)[]): Bytes =>
  joined(
    text(1, name),
    block(
      2,
      block(
        1,
        joined(
          int(1, FLOAT),
          block(2, joined(...dims.map((dim) => block(1, typeof dim === 'number' ? int(1, dim) : text(2, dim))))),
        ),
      ),
    ),
  );

export interface SmallModel {
  inputs: Record<string, readonly (number | string)[]>;
  outputs: Record<string, readonly (number | string)[]>;
  weights: Record<string, { dims: readonly number[]; values: readonly number[] }>;
  nodes: readonly { op: string; inputs: readonly string[]; outputs: readonly string[] }[];
}

export function onnxModel({ inputs, outputs, weights, nodes }: SmallModel): Bytes {
  const graph = joined(
    ...nodes.map((node) =>
      block(
        1,
        joined(...node.inputs.map((one) => text(1, one)), ...node.outputs.map((one) => text(2, one)), text(4, node.op)),
      ),
    ),
    text(2, 'small'),
    ...Object.entries(weights).map(([name, { dims, values }]) =>
      block(
        5,
        joined(
          ...dims.map((dim) => int(1, dim)),
          int(2, FLOAT),
          text(8, name),
          block(9, Buffer.from(Float32Array.from(values).buffer)),
        ),
      ),
    ),
    ...Object.entries(inputs).map(([name, dims]) => block(11, port(name, dims))),
    ...Object.entries(outputs).map(([name, dims]) => block(12, port(name, dims))),
  );
  return joined(int(1, 8), block(7, graph), block(8, int(2, OPSET)));
}

/** sigmoid(rows · weights) */
export const linearModel = (weights: readonly number[]): Bytes =>
  onnxModel({
    inputs: { rows: ['n', weights.length] },
    outputs: { scores: ['n', 1] },
    weights: { w: { dims: [weights.length, 1], values: weights } },
    nodes: [
      { op: 'MatMul', inputs: ['rows', 'w'], outputs: ['sum'] },
      { op: 'Sigmoid', inputs: ['sum'], outputs: ['scores'] },
    ],
  });
