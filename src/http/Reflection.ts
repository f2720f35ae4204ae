import type { DescExtension, DescFile, DescService } from "@bufbuild/protobuf"
import { createRegistry, toBinary } from "@bufbuild/protobuf"
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt"
import { Code } from "@connectrpc/connect"
import { connectNodeAdapter } from "@connectrpc/connect-node"
import { compressions } from "../rpc/admission/Compressions.ts"
import type { Handler, Mounts } from "./Mounts.ts"
import type { ServerReflectionRequest } from "../contract/gen/grpc/reflection/v1/reflection_pb.ts"
import { ServerReflection } from "../contract/gen/grpc/reflection/v1/reflection_pb.ts"
import { ServerReflection as ServerReflectionAlpha } from "../contract/gen/grpc/reflection/v1alpha/reflection_pb.ts"

/** The file and everything that it imports, itself first. */
const withImports = (file: DescFile, seen = new Set<DescFile>()): Set<DescFile> => {
  if (seen.has(file)) return seen
  seen.add(file)
  for (const imported of file.dependencies) withImports(imported, seen)
  return seen
}

/** Of the methods, whose calls last until their client ends them. */
export const paths: ReadonlyArray<string> = [ServerReflection, ServerReflectionAlpha].map((service) =>
  `/${service.typeName}/${service.method.serverReflectionInfo.name}`)

/** gRPC server reflection over the files of `services`, itself included, so that grpcurl and buf need no proto file. */
export const make = (services: ReadonlyArray<DescService>): Mounts => {
  const listed = [...services, ServerReflection, ServerReflectionAlpha]
  const files = new Set(listed.flatMap(({ file }) => [...withImports(file)]))
  const registry = createRegistry(...files)

  /** A service, message, enum or extension by its full name, or a method, field or oneof of one. */
  const fileOf = (symbol: string): DescFile | undefined => {
    const found = registry.get(symbol)
    if (found !== undefined) return found.file
    const dot = symbol.lastIndexOf(".")
    const parent = dot === -1 ? undefined : registry.get(symbol.slice(0, dot))
    const member = symbol.slice(dot + 1)
    const named = ({ name }: { readonly name: string }) => name === member
    const isMember = parent?.kind === "service"
      ? parent.methods.some(named)
      : parent?.kind === "message"
      ? [...parent.fields, ...parent.oneofs].some(named)
      : false
    return isMember ? parent?.file : undefined
  }

  const extensions = (typeName: string): ReadonlyArray<DescExtension> =>
    [...registry].filter((one): one is DescExtension => one.kind === "extension" && one.extendee.typeName === typeName)

  const descriptors = (file: DescFile | undefined, what: string) =>
    file === undefined ? error(Code.NotFound, `no such ${what}`) : {
      case: "fileDescriptorResponse" as const,
      value: {
        fileDescriptorProto: [...withImports(file)].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto))
      }
    }
  const error = (errorCode: Code, errorMessage: string) =>
    ({ case: "errorResponse" as const, value: { errorCode, errorMessage } })

  const answer = ({ messageRequest: asked }: Pick<ServerReflectionRequest, "messageRequest">) => {
    switch (asked.case) {
      case "listServices":
        return {
          case: "listServicesResponse" as const,
          value: { service: listed.map(({ typeName }) => ({ name: typeName })) }
        }
      case "fileByFilename":
        return descriptors([...files].find(({ proto }) => proto.name === asked.value), "file")
      case "fileContainingSymbol":
        return descriptors(fileOf(asked.value), "symbol")
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = asked.value
        const extension = extensions(containingType).find(({ number }) => number === extensionNumber)
        return descriptors(extension?.file, "extension")
      }
      case "allExtensionNumbersOfType":
        if (registry.getMessage(asked.value) === undefined) return error(Code.NotFound, "no such message")
        return {
          case: "allExtensionNumbersResponse" as const,
          value: { baseTypeName: asked.value, extensionNumber: extensions(asked.value).map(({ number }) => number) }
        }
      case undefined:
        return error(Code.InvalidArgument, "nothing was asked")
    }
  }

  const handler = connectNodeAdapter({
    acceptCompression: [...compressions],
    readMaxBytes: 4_096,
    routes: (router) => {
      for (const service of [ServerReflection, ServerReflectionAlpha]) {
        // Both have the same messages under other names.
        router.service(service as typeof ServerReflection, {
          async *serverReflectionInfo(requests) {
            for await (const originalRequest of requests) {
              yield { validHost: originalRequest.host, originalRequest, messageResponse: answer(originalRequest) }
            }
          }
        })
      }
    }
  }) as Handler
  return { [`/${ServerReflection.typeName}`]: handler, [`/${ServerReflectionAlpha.typeName}`]: handler }
}
